"""A file a reader of outputs: its name is a word of ``edit.reader``, its ``readers`` what directions are read with."""
