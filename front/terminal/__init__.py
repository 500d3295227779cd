"""The user's terminal: keys that go to the guest, and what is shown of its screen and serial port."""
