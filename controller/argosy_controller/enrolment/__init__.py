"""How a device becomes one of the fleet: tokens, the device CA, certificates, revocation."""
