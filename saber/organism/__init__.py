"""The organism: a tiny chat model that the project trains itself, with refusals to shape and no network."""
