"""What operators see: frozen data drawn out of the database. API, command line and dashboard show the same."""
