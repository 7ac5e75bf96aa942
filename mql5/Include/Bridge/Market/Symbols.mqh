//+------------------------------------------------------------------+
//|                                                      Symbols.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What this program knows of the terminal's symbols: which answer CopyTicks at once, and which it
// put into Market Watch itself, to take them out again.
//
// A symbol has a slot, a number that stays: whoever reads again and again keeps it, because a
// name is looked up by comparing texts.

#ifndef BRIDGE_MARKET_SYMBOLS_MQH
#define BRIDGE_MARKET_SYMBOLS_MQH

//--- more slots than any broker has symbols
#define SYMBOL_SLOTS_MAX 65536

//+------------------------------------------------------------------+
//| The symbols that were asked for                                  |
//+------------------------------------------------------------------+
class CSymbols
  {
private:
   string            m_names[];
   bool              m_synchronised[];
   long              m_reached_msc[];   // the history was read back to here
   bool              m_selected[];      // by us: it was not in Market Watch before

public:
   string            Name(const int slot) const { return(m_names[slot]); }
   int               Slot(const string symbol);
   bool              Exists(const string symbol) const;
   int               Select(const int slot);
   void              Release(const int slot);
   void              ReleaseAll(void);
   bool              MayBlock(const int slot) const { return(!m_synchronised[slot]); }
   bool              MayBlockFrom(const int slot,const long from_msc) const;
   void              Synchronised(const int slot,const long reached_msc);
   void              NotSynchronised(const int slot);
   void              ConnectionWasLost(void);
  };

// The slot of a symbol, made if need be; -1 when there is no memory.
int CSymbols::Slot(const string symbol)
  {
   const int total=ArraySize(m_names);
   for(int i=0; i<total; i++)
      if(m_names[i]==symbol)
         return(i);
   if(total>=SYMBOL_SLOTS_MAX)
      return(-1);
   if(ArrayResize(m_synchronised,total+1,64)!=total+1 || ArrayResize(m_reached_msc,total+1,64)!=total+1
      || ArrayResize(m_selected,total+1,64)!=total+1 || ArrayResize(m_names,total+1,64)!=total+1)
      return(-1);
   m_names[total]=symbol;
   m_synchronised[total]=false;
   m_reached_msc[total]=LONG_MAX;
   m_selected[total]=false;
   return(total);
  }

// Whether the terminal has a symbol of exactly this name.
bool CSymbols::Exists(const string symbol) const
  {
   bool is_custom=false;
   return(StringLen(symbol)>0 && SymbolExist(symbol,is_custom));
  }

// SymbolSelect: 0 or an error.
int CSymbols::Select(const int slot)
  {
   const string name=m_names[slot];
   if(SymbolInfoInteger(name,SYMBOL_SELECT)!=0)
      return(0);
   ResetLastError();
   if(SymbolSelect(name,true))
     {
      m_selected[slot]=true;
      return(0);
     }
   const int error=GetLastError();
   return(error!=0 ? error : ERR_MARKET_SELECT_ERROR);
  }

// Take a symbol out of Market Watch that we put there. The terminal refuses while somebody else
// needs it: a chart, a position.
void CSymbols::Release(const int slot)
  {
   if(!m_selected[slot])
      return;
   m_selected[slot]=false;
   if(SymbolSelect(m_names[slot],false))
      m_synchronised[slot]=false;
  }

void CSymbols::ReleaseAll(void)
  {
   const int total=ArraySize(m_names);
   for(int i=0; i<total; i++)
      Release(i);
  }

// Whether reading from a time on may block: the terminal loads what it has not got yet.
bool CSymbols::MayBlockFrom(const int slot,const long from_msc) const
  {
   return(!m_synchronised[slot] || from_msc<m_reached_msc[slot]);
  }

void CSymbols::Synchronised(const int slot,const long reached_msc)
  {
   m_synchronised[slot]=true;
   if(reached_msc>0 && reached_msc<m_reached_msc[slot])
      m_reached_msc[slot]=reached_msc;
  }

void CSymbols::NotSynchronised(const int slot)
  {
   m_synchronised[slot]=false;
  }

// After an outage of the trade server's link every symbol may block again.
void CSymbols::ConnectionWasLost(void)
  {
   const int total=ArraySize(m_names);
   for(int i=0; i<total; i++)
     {
      m_synchronised[i]=false;
      m_reached_msc[i]=LONG_MAX;
     }
  }

#endif // BRIDGE_MARKET_SYMBOLS_MQH
