"""Getting sources: from an index, from git, from a URL, from the workspace; verified, and stored by digest."""
