package worldgen

import "strings"

// kind is a kind of thing and where it goes.
type kind struct {
	name   string
	traits string // c clean, h heat, l cool, s slice, t toggle (and not to be picked up)
	places []string
}

// room is a kind of room: how many receptacles of each kind it has, and what
// lies about in it.
type room struct {
	name        string
	receptacles []furnishing
	kinds       []kind
}

type furnishing struct {
	name     string
	min, max int
}

// closed receptacles open and close.
var closed = map[string]bool{"Fridge": true, "Microwave": true, "Cabinet": true, "Drawer": true, "Safe": true}

func parseRoom(name, receptacles, kinds string) room {
	r := room{name: name}
	for _, f := range strings.Fields(receptacles) {
		kind, span, _ := strings.Cut(f, ":")
		r.receptacles = append(r.receptacles, furnishing{kind, int(span[0] - '0'), int(span[2] - '0')})
	}
	for _, line := range strings.Split(strings.TrimSpace(kinds), "\n") {
		f := strings.Fields(line)
		r.kinds = append(r.kinds, kind{f[0], strings.Trim(f[1], "-"), f[2:]})
	}
	return r
}

// A line of kinds reads: name, traits or -, places.
var rooms = []room{
	parseRoom("kitchen",
		"CounterTop:1-3 DiningTable:0-2 Cabinet:2-8 Drawer:1-6 Shelf:0-3 Fridge:1-1 Microwave:1-1 SinkBasin:1-1 StoveBurner:2-4 CoffeeMachine:1-1 Toaster:0-1 GarbageCan:1-1", `
		Apple chls CounterTop DiningTable Fridge SinkBasin GarbageCan Microwave
		Tomato chls CounterTop DiningTable Fridge SinkBasin GarbageCan Microwave
		Potato chls CounterTop DiningTable Fridge SinkBasin GarbageCan Microwave
		Lettuce cls CounterTop DiningTable Fridge SinkBasin GarbageCan
		Bread hls CounterTop DiningTable Fridge GarbageCan Microwave
		Egg chl CounterTop DiningTable Fridge SinkBasin GarbageCan Microwave
		Mug chl CounterTop DiningTable Cabinet Shelf SinkBasin CoffeeMachine Microwave Fridge
		Cup chl CounterTop DiningTable Cabinet Shelf SinkBasin Microwave Fridge
		Plate chl CounterTop DiningTable Cabinet Shelf SinkBasin Microwave Fridge
		Bowl cl CounterTop DiningTable Cabinet Shelf SinkBasin Fridge
		Pan cl CounterTop DiningTable Cabinet StoveBurner SinkBasin Fridge
		Pot cl CounterTop DiningTable Cabinet StoveBurner SinkBasin Fridge
		Kettle c CounterTop Cabinet StoveBurner Shelf SinkBasin
		Fork c CounterTop DiningTable Drawer SinkBasin
		Spoon c CounterTop DiningTable Drawer SinkBasin
		Knife c CounterTop DiningTable Drawer SinkBasin
		Spatula c CounterTop DiningTable Drawer SinkBasin
		Ladle c CounterTop DiningTable Drawer SinkBasin
		SaltShaker - CounterTop DiningTable Cabinet Drawer Shelf
		PepperShaker - CounterTop DiningTable Cabinet Drawer Shelf
		DishSponge c CounterTop Cabinet Drawer SinkBasin
		SoapBottle - CounterTop Cabinet SinkBasin GarbageCan`),
	parseRoom("livingroom",
		"Sofa:1-1 ArmChair:0-2 CoffeeTable:1-2 SideTable:1-3 TVStand:0-1 Shelf:0-4 Drawer:0-5 Cabinet:0-4 Ottoman:0-1 Safe:0-1 DiningTable:0-1 GarbageCan:1-1", `
		Book - Sofa ArmChair CoffeeTable SideTable Shelf Drawer Cabinet DiningTable
		Laptop - Sofa ArmChair CoffeeTable SideTable Ottoman DiningTable
		Pillow - Sofa ArmChair Ottoman
		RemoteControl - Sofa ArmChair CoffeeTable SideTable TVStand Drawer Ottoman
		CreditCard - Sofa ArmChair CoffeeTable SideTable Shelf Drawer Safe TVStand
		KeyChain - Sofa ArmChair CoffeeTable SideTable Shelf Drawer Safe Ottoman
		CellPhone - Sofa ArmChair CoffeeTable SideTable Shelf Drawer Safe
		Watch - CoffeeTable SideTable Shelf Drawer Safe TVStand
		Vase - CoffeeTable SideTable Shelf Cabinet Safe TVStand DiningTable
		Statue - CoffeeTable SideTable Shelf Safe TVStand DiningTable
		Newspaper - Sofa ArmChair CoffeeTable SideTable Drawer GarbageCan Ottoman
		Box - Sofa ArmChair CoffeeTable SideTable Ottoman DiningTable
		Candle - CoffeeTable SideTable Shelf Drawer Cabinet
		DeskLamp t SideTable CoffeeTable Shelf
		FloorLamp t SideTable`),
	parseRoom("bedroom",
		"Bed:1-2 Desk:1-2 SideTable:1-2 Drawer:2-8 Shelf:0-4 Dresser:0-1 ArmChair:0-1 Safe:0-1 GarbageCan:1-1 LaundryHamper:0-1", `
		Book - Bed Desk SideTable Drawer Shelf Dresser ArmChair
		Laptop - Bed Desk ArmChair Dresser
		Pillow - Bed ArmChair
		Pen - Desk SideTable Drawer Shelf GarbageCan Dresser
		Pencil - Desk SideTable Drawer Shelf GarbageCan Dresser
		CD - Desk SideTable Drawer Shelf Safe GarbageCan Dresser
		AlarmClock - Desk SideTable Shelf Dresser
		CellPhone - Bed Desk SideTable Drawer Safe Dresser
		KeyChain - Desk SideTable Drawer Shelf Safe Dresser ArmChair
		CreditCard - Desk SideTable Drawer Shelf Safe Dresser ArmChair
		Mug - Desk SideTable Shelf Dresser
		Bowl - Desk SideTable Shelf Dresser
		TeddyBear - Bed ArmChair
		TissueBox - Desk SideTable Drawer Dresser GarbageCan
		Cloth - Drawer Dresser LaundryHamper Bed
		DeskLamp t Desk SideTable Dresser`),
	parseRoom("bathroom",
		"CounterTop:1-2 SinkBasin:1-2 Toilet:1-1 Cabinet:1-6 Drawer:0-4 Shelf:0-2 BathtubBasin:0-1 TowelHolder:1-1 HandTowelHolder:1-2 ToiletPaperHanger:1-1 SideTable:0-1 GarbageCan:1-1", `
		SoapBar c CounterTop SinkBasin Cabinet Drawer BathtubBasin Toilet GarbageCan
		SoapBottle - CounterTop Cabinet Drawer Toilet GarbageCan Shelf SideTable
		SprayBottle - CounterTop Cabinet Drawer Toilet GarbageCan Shelf SideTable
		ToiletPaper - CounterTop Cabinet Drawer Toilet GarbageCan ToiletPaperHanger Shelf
		TissueBox - CounterTop Cabinet Toilet GarbageCan Shelf SideTable
		Candle - CounterTop Cabinet Drawer Toilet Shelf SideTable
		Cloth c CounterTop Cabinet Drawer SinkBasin BathtubBasin
		HandTowel - HandTowelHolder CounterTop Cabinet
		Towel - TowelHolder
		DishSponge c CounterTop Cabinet SinkBasin BathtubBasin`),
}

// goalWords are the task sentences of each type; {o}, {r} and {l} are the kinds
// of object, receptacle and lamp.
var goalWords = map[string][]string{
	"pick_and_place_simple":          {"put a {o} in or on a {r}.", "find a {o} and leave it at a {r}.", "move some {o} to a {r}."},
	"look_at_obj_in_light":           {"look at a {o} in the light of a {l}.", "hold a {o} while a {l} is on.", "examine a {o} with a {l}."},
	"pick_clean_then_place_in_recep": {"put a clean {o} in or on a {r}.", "clean some {o} and put it at a {r}."},
	"pick_heat_then_place_in_recep":  {"put a hot {o} in or on a {r}.", "heat some {o} and put it at a {r}."},
	"pick_cool_then_place_in_recep":  {"put a cold {o} in or on a {r}.", "cool some {o} and put it at a {r}."},
	"pick_two_obj_and_place":         {"put two {o} in or on a {r}.", "find two {o} and put them at a {r}."},
}
