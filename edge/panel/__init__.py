"""The device display, `limpid display`: the newest picture on the glass, what was done to it, how old it is.

A process of its own: nothing in here can cost the live process anything but what it sends to any subscriber.

thread     runs                  owns
main       run.Loop              the screen, the view, what the fingers do
pictures   link.Pictures.run     the subscription; writes the last seconds (cine)
status     link.Status.run       asks once a second how the appliance is
wishes     link.Errands.run      strength, view, freeze
captures   link.Errands.run      the capture button, answered once it is stored
tray       tray.Tray.run         looks into the outbox
watchdog   health.Watchdog       ends the process when main hangs: a dead panel must not go on showing a picture
"""
