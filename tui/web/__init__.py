"""The application in a browser: the door, and the page behind it."""
