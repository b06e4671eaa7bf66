"""What an administrator does with a store of many users without a daemon: count it, and collect it."""
