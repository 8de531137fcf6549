"""The one way to touch a device: a Change, applied, verified, undone where it failed, audited."""
