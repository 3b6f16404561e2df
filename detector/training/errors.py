"""What can be wrong with the data somebody trains or measures on."""


class DatasetError(Exception):
    """A data set that cannot be used, with the row or file at fault in the message."""
