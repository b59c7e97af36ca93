"""What the package is measured with, and against."""
