"""The suite that every driver passes, ours and anybody's: bad lines in memory, virtual time, one question."""
