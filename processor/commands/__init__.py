"""What each command of `processor` does; imported only when that command runs, but for the options."""
