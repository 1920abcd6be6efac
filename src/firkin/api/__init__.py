"""Docker's Engine API: translate a request into values, call the engine, translate its answer back."""
