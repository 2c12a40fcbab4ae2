"""Reports for people: ``html.render_report`` makes the page, ``card.render_card`` the model card.

This room reads ``core.report`` and nothing else. It never measures, never opens a picture, and what it writes asks
for nothing from anywhere: one file that can be mailed, archived and printed.
"""
