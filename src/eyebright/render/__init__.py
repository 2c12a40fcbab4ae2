"""Reports for people: ``html.render_report`` makes the page, ``card.render_card`` the model card.

``words``          names and numbers in words, rounded to what n supports
``findings``       sentences about a report, the titles of what shows them
``plots``          drawings as SVG strings
``illustrations``  a drawing with its finding and its caption
``tables``         rows ready to print
``page``           the shell that every page shares, and its templates

This room reads ``core.report`` and of the rest of ``core`` only words. It never measures, never opens a picture, and what it
writes asks for nothing from anywhere: one file that can be mailed, archived and printed.
"""
