"""Profiles of Modbus devices: one TOML file each, read and checked by `device_drivers.modbus_rtu.profile`."""
