"""RPM repositories: what they have, which RPMs satisfy a buildroot, and those RPMs' files, verified, in the store."""
