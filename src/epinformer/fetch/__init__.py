"""Published inputs: where they are, what is known of them, and downloading them so that they are whole."""
