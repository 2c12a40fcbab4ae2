"""What every room knows: values, files, errors, events and names. It imports no room, and no torch."""
