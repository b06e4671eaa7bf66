"""What the store asks of the file system: durable writes, atomic renames, open folders."""
