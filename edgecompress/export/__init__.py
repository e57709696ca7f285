"""Bundle -> a project of sources for somebody else's build system. One module a format: `write(project, folder)`."""
