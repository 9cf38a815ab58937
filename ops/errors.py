"""What can go wrong around the rooms; the message is what the user reads."""


class OpsError(Exception):
    """The command cannot go on; the message says what to do."""


class SettingsError(OpsError):
    """A setting is unknown or its value does not fit."""


class StageBroken(OpsError):
    """A stage failed in a way that a restart would not mend."""
