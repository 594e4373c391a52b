"""A file an extraction: its name is the word of ``edit.extraction``, its ``directions`` what gives them."""
