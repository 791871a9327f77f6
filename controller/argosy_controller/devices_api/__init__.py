"""What devices talk to over HTTPS: trust, enrolment, desired documents, the TUF repository."""
