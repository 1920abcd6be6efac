"""Words of the OCI and Docker specifications as frozen values; no input or output."""
