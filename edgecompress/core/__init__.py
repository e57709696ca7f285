"""Values and errors that the stages share. Imports no stage."""
