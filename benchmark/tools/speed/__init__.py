"""Speed side by side with other programs, in one run on one machine."""
