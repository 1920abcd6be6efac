"""What each route does, one noun a file: read the request, call one verb, shape the answer."""
