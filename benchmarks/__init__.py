"""What edgecompress is compared with, and how: each module is a program."""
