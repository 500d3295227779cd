"""What the command `hillemu` does: a file for each subcommand, and the options that they share."""
