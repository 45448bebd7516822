"""Network cameras: the address of one, and what ONVIF says of its stream.

`url` is the address, which never shows who logs in, `login_file` reads who does, `schemes` lists what can be opened;
`soap` writes and reads ONVIF's messages; `stream_uri` is the talk that ends with the address of the pictures; `onvif`
carries it over HTTP.
"""
