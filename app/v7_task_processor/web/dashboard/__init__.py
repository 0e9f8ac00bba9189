"""The dashboard: what the listings and the management API say, as pages, and their acts as forms.

Pages are whole without JavaScript. With it, htmx asks again every few seconds for the part of a page that changes
(the block `live` of its template), and uPlot draws the curves. It is imported when it is first asked for.
"""
