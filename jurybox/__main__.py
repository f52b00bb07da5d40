from jurybox.cli import app

app(prog_name="jurybox")
