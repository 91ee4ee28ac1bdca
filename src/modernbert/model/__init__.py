"""Everything that has a learned weight or names one."""
