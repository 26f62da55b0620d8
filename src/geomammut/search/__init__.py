"""Search: an archive of imagery asked in words, by pictures, and on a map."""
