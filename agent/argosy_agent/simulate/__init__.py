"""Many devices in one process, for measuring a fleet: real enrolment, TLS, MQTT, signatures, TUF and updater; simulated are
only what costs a device its own processor and disk: downloading, the probe, the worker, and the files of the state.
"""
