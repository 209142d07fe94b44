"""Where rlenv meets other libraries, a package for each."""
