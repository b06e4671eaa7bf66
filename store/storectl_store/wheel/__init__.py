"""The checks a wheel passes before a byte of it is unpacked: pure functions of its bytes."""
