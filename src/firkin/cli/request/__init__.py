"""From flags to the body of `POST /containers/create`: one table of flags, one file per subject that needs parsing."""
