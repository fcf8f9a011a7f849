"""What the integration and fault tests share: an agent under test, its API, its command line, and the TAP runner."""
