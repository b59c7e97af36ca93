"""The command line: one file a subcommand, each calling the library function of the same name."""
