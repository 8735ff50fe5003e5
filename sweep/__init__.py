"""Search for the setting that suits every order of the tasks: space, search, run, record, report."""
