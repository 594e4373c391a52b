"""A point as files that others run: written, read back, measured again, put in place, shared, made again."""
