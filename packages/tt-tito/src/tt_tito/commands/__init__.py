"""The commands of `tito`, each imported when it is called."""
