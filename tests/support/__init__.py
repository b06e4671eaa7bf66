"""What tests share: a factory of small real wheels, an index on loopback, lock files made from both."""
