"""The checks that a wheel passes before a byte of it is unpacked: pure functions of its bytes.

A check that fails raises WheelError; its codes ``E_…`` are those of ``refusal.Code``.
"""
