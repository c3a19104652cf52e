"""What each command of `processor` takes; it hands over to the module that does it, imported only then."""
