"""A whole store that is not there: its hardware on real pseudo-terminals, its people, and the truth of what happened.

Nothing here is imported by the product. Frames are written from the makers' vectors, not with the drivers' codecs, so
that a mistake on one side shows on the other.
"""
