"""Where the time of a run goes: `hillemu profile` and `Machine.profile`."""
