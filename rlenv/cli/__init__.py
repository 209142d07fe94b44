"""The commands, one file each. Nothing else imports this package."""
