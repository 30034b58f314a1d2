"""Organisations: their names, pins, ownership timeline, member lists and membership (rules O and M). Pure."""
